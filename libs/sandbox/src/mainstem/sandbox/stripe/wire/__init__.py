"""How a request is written: forms, parameters, pages of lists, versions, and the errors that refuse one."""
