"""The pages that a person clicks through: plain HTML, no script, each form's answer a redirect."""
