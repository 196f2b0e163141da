"""`serve`: the dispatcher alone, for where the host workers are elsewhere."""

import click

from central_dispatch.cli import exit_codes, logs, screen
from central_dispatch.provisioning.problem import Problem


@click.command()
@screen.command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="0: a free one.")
@logs.option
def serve(host: str, port: int, log_format: str) -> None:
    """Run the dispatcher: portal, API and host API. The first start prints the administrator's password, once."""
    from central_dispatch.portal.serve import first_start
    from central_dispatch.portal.serve import serve as run

    started = first_start()
    logs.reformat(log_format)
    show_password(started.password)

    def ready(url: str) -> None:
        screen.event("ready", f"Ready: {url}   certificate pin: {started.pin}", url=url, pin=started.pin)

    try:
        code = run(host, port, ready)
    except OSError as error:
        problem = Problem(f"Cannot listen on {host}:{port}", error.strerror or str(error), "Choose another --port.")
        raise screen.Stop(exit_codes.FAILED, problem) from None
    click.get_current_context().exit(code)


def show_password(password: str | None) -> None:
    """Show the first administrator's password, at the first start only."""
    if password:
        sentence = f"Administrator: admin   password: {password}   (shown only now)"
        screen.event("administrator", sentence, username="admin", password=password)
