"""`python -m central_dispatch`: the command line, whatever the script on the PATH is called."""

from central_dispatch.cli import main

if __name__ == "__main__":
    main(prog_name="central-dispatch")
