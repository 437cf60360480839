"""SQL over everything that the platform holds: files of the lake, tables, databases; by DuckDB."""
