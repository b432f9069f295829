"""Text of the arena: two sources that share no templates."""
