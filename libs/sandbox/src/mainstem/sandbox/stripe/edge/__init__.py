"""From a request to one step of the account, and back; and the calendar, whose steps come by themselves."""
