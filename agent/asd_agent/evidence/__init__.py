"""Evidence of an alarm: its sound, a picture and a record, stored on the box within bounds."""
