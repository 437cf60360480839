"""The SQL endpoint: Arrow Flight SQL before DuckDB, for BI tools and other programs.

People sign in with their key of the lake. Each has sessions that see what that key sees.
"""
