"""The next interval's sell rate, from three rates of the present one."""
