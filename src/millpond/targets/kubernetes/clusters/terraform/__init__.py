"""Terraform modules for clusters in a cloud, and what a flavour takes from their outputs.

Millpond writes them and never runs them: accounts, money and Terraform's state are the user's.
"""
