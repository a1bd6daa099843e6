"""The peers: how they are installed, started on loopback at free ports, talked to, and ended with the run."""
