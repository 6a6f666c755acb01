"""`python -m tests.references` writes the generated pages of docs/reference anew."""

from tests.references.pages import write_pages

if __name__ == "__main__":
    write_pages()
