"""Binary classifier with metric learning (section 2.2 and 3.2 of the paper)."""
