"""Sees to the programs that tests drive but pip cannot bring: a browser for the panel, ffmpeg for odd media,
PostgreSQL for a team's Label Studio, an SSH server and rsync for the mirror and a GPU host.

Where this may install (root, on a Debian) it does; elsewhere it says what is missing, and tests that need it
skip.
"""

import os
import shutil
import subprocess

# program -> Debian package
NEEDED = {
    "chromium": "chromium",
    "ffmpeg": "ffmpeg",
    "pg_ctlcluster": "postgresql",
    "/usr/sbin/sshd": "openssh-server",
    "rsync": "rsync",
}


def main() -> None:
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"tests that need {wanted} will skip; to run them too: sudo apt-get install {wanted}", flush=True)
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
    done = all(
        subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False).returncode == 0
        for command in (["apt-get", "update"], install)
    )
    print(f"apt-get {'installed' if done else 'could not install'} {wanted}", flush=True)


if __name__ == "__main__":
    main()
