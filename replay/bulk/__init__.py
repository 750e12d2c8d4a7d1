"""The join of a whole log, column by column: many times as fast as decision by decision."""
