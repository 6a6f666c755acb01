"""`python -m tests.charts` writes `values.schema.json` of every chart anew."""

from tests.charts.schema import write_schemas

if __name__ == "__main__":
    write_schemas()
