"""Checks of what users give, made where it comes in; each error says what to write instead."""
