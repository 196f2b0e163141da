from collections.abc import Callable

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLResolver, get_resolver

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.services.runs import deploy
from central_dispatch.portal.access import access_of
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.pages import urls
from central_dispatch.worker_manager.counts import forget
from central_dispatch.worker_manager.rates import forget_rates
from dispatchers.fleet import draft, enrolled

Browser = Callable[..., Client]


def test_every_page_declares_who_may_see_it() -> None:
    def views(patterns: list[object]) -> list[object]:
        found: list[object] = []
        for one in patterns:
            found += views(one.url_patterns) if isinstance(one, URLResolver) else [one.callback]
        return found

    assert [view for view in views(urls.urlpatterns) if access_of(view) is None] == []


def test_a_list_asks_the_database_as_often_for_fifty_rows_as_for_two(administrator: Actor, browser: Browser) -> None:
    client = browser(User.objects.get(pk=administrator.user_id))
    worker, _ = enrolled(administrator)
    client.get("/account/", secure=True)  # the first page notes from where the session is used
    counts = []
    for number in range(12):
        instance = draft(administrator, worker, name=f"portal-{number}")
        deploy(administrator, instance.pk)
        if number in {1, 11}:
            pages = {}
            for address in ("/", "/instances/", "/runs/", "/settings/central-dispatch/", "/audit/"):
                forget()
                forget_rates()
                with CaptureQueriesContext(connection) as queries:
                    assert client.get(address, secure=True).status_code == 200
                pages[address] = len(queries)
            counts.append(pages)
    assert counts[0] == counts[1]


def test_htmx_gets_the_part_and_everybody_else_the_page(administrator: Actor, browser: Browser) -> None:
    client = browser(User.objects.get(pk=administrator.user_id))
    part = client.get("/instances/", secure=True, headers={"HX-Request": "true"})
    assert part.content.lstrip().startswith(b'<div id="instance-list"')
    assert "no-store" in part["Cache-Control"]
    assert b"<html" in client.get("/instances/", secure=True).content


def test_a_redirect_of_the_theme_leads_nowhere_else(browser: Browser) -> None:
    client = browser(None, csrf=False)
    answer = client.post("/theme/", {"theme": "dark", "next": "https://elsewhere.example/"}, secure=True)
    assert answer["Location"] == "/"
    assert client.cookies["central-dispatch-theme"].value == "dark"
    assert (
        client.post("/theme/", {"theme": "loud", "next": "/x/"}, secure=True).cookies["central-dispatch-theme"].value
        == "auto"
    )


def test_what_does_not_exist_is_a_404_that_says_where_to_look(administrator: Actor, browser: Browser) -> None:
    client = browser(User.objects.get(pk=administrator.user_id))
    for address in ("/instances/nothing/", "/runs/nothing/", "/settings/central-dispatch/nothing/", "/nothing/"):
        answer = client.get(address, secure=True)
        assert answer.status_code == 404, address
        assert b"There is nothing at this address" in answer.content


def test_markup_in_a_name_is_text(administrator: Actor, browser: Browser, person: Callable[..., User]) -> None:
    person(Role.OPERATOR, "<script>alert(1)</script>")
    worker, _ = enrolled(administrator)
    client = browser(User.objects.get(pk=administrator.user_id))
    page = client.get(f"/settings/central-dispatch/{worker.pk}/edit/", secure=True).content
    assert b"<script>alert" not in page
    assert b"&lt;script&gt;alert" in page


def test_the_resolver_knows_the_error_pages() -> None:
    assert callable(get_resolver().resolve_error_handler(404))
