"""Tests of installs, on real installers against a registry on loopback."""
