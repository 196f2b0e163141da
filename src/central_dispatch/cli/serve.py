"""`serve`: the dispatcher alone, for where the host workers are elsewhere."""

import click

from central_dispatch.cli import exit_codes, screen
from central_dispatch.provisioning.problem import Problem


@click.command()
@screen.command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="0: a free one.")
def serve(host: str, port: int) -> None:
    """Run the dispatcher: portal, API and host API. The first start prints the administrator's password, once."""
    from central_dispatch.portal.serve import first_start
    from central_dispatch.portal.serve import serve as run

    started = first_start()
    first = {"event": "first start", "username": "admin", "password": started.password}
    if started.password:
        screen.say(first, f"Administrator: admin   password: {started.password}   (shown only now)")

    def ready(url: str) -> None:
        screen.say({"event": "ready", "url": url, "pin": started.pin}, f"Ready: {url}   certificate pin: {started.pin}")

    try:
        code = run(host, port, ready)
    except OSError as error:
        problem = Problem(f"Cannot listen on {host}:{port}", error.strerror or str(error), "Choose another --port.")
        raise screen.Stop(exit_codes.FAILED, problem) from None
    click.get_current_context().exit(code)
