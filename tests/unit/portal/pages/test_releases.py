from central_dispatch.portal.pages.releases import newest_first


def test_releases_are_ordered_by_their_numbers() -> None:
    assert newest_first(("6.9", "6.10.0", "nightly", "6.1.9")) == ["6.10.0", "6.9", "6.1.9", "nightly"]
