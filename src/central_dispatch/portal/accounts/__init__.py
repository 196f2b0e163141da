"""Accounts of people and the tokens of their programs."""
