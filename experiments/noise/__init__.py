"""How much the returns of reinforcement learning vary, and what that does to a search."""
