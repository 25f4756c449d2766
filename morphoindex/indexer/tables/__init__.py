"""The catalog: tables in DuckDB that are derived from store and journal, and what a person may ask of them."""
