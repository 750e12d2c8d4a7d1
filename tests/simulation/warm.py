"""Loads the compiled code when imported: once, for all processes that are forked off later."""

from policy.warm_up import warm_up

warm_up()
