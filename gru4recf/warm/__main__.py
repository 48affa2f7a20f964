"""`python -m gru4recf.warm ARGUMENTS`: what `gru4recf ARGUMENTS` does, forked from the server where there is one."""

import os
import sys
from pathlib import Path

from gru4recf.warm import fork

if __name__ == "__main__":
    try:
        process = fork("command", sys.argv[1:], os.environ, str(Path.cwd()))
    except OSError:
        from gru4recf.cli import main

        main(prog_name="gru4recf")
    sys.exit(process.wait())
