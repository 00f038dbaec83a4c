"""edgetpu_compiler: running it, reading its logs, identifying its version."""
