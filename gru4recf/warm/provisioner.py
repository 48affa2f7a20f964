"""How a run that was forked gets its kernel: forked as well, in place of a new Python."""

import os
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from gru4recf.warm import fork

LAUNCHER = "ipykernel_launcher"


class WarmProvisioner(LocalProvisioner):
    """Jupyter's provisioner of local kernels, but for where the process comes from."""

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        """Fork the kernel; start it as always where nobody serves, or where it should have more than one thread."""
        environment = options.get("env") or dict(os.environ)
        folder = options.get("cwd") or Path.cwd()
        if LAUNCHER not in cmd or environment.get("OMP_NUM_THREADS") != "1":
            return await super().launch_kernel(cmd, **options)
        stderr = options["stderr"].fileno() if options.get("stderr") else 2
        try:
            self.process = fork("kernel", cmd[cmd.index(LAUNCHER) + 1 :], environment, str(folder), stderr)
        except OSError:
            return await super().launch_kernel(cmd, **options)
        self.pid = self.pgid = self.process.pid
        return self.connection_info
