# The determinism matrix cuts the sequence for the step, and hears every result, whichever path scored it.
$(OUT)/tests/simulation/determinism_matrix: LDLIBS += -Wl,--wrap=step_run,--wrap=intake_sequence,--wrap=warm_run
