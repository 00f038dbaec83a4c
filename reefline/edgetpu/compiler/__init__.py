"""edgetpu_compiler: running it, reading its logs, telling one version from another."""
