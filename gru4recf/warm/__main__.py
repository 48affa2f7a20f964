"""`python -m gru4recf.warm ARGUMENTS`: what `gru4recf ARGUMENTS` does, forked from the server where there is one."""

import os
import signal
import sys
from pathlib import Path

from gru4recf.warm import fork

if __name__ == "__main__":
    try:
        process = fork("command", sys.argv[1:], os.environ, str(Path.cwd()))
    except OSError:
        from gru4recf.cli import main

        main(prog_name="gru4recf")
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)  # Ctrl-C does not reach its session
        code = process.wait()  # till it has stopped its kernel; Ctrl-C once more ends it at once
    sys.exit(code if code >= 0 else 128 - code)  # of a signal, as shells tell it
