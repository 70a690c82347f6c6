"""The doctor: looks at the box from end to end and names what is wrong with its remedy. One file a group of checks."""
