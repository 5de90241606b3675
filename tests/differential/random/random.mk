# The program of random operations (tests/differential/random); `make random SEEDS=10000 [FROM=n]`, `make random SEED=n`.
RANDOM_OBJ := $(patsubst tests/%.c,$(BUILD)/obj/tests/%.o,$(wildcard tests/differential/random/*.c))

$(BUILD)/obj/tests/differential/random/%.o: tests/differential/random/%.c
	@mkdir -p $(@D)
	$(CC) $(TESTCFLAGS) -c -o $@ $<
$(TESTPROG)/random: $(RANDOM_OBJ)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -pthread
scenario-programs: $(TESTPROG)/random

random: all scenario-programs
	BUILD=$(BUILD) tests/random $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000) --from $(or $(FROM),1))
.PHONY: random

-include $(wildcard $(BUILD)/obj/tests/differential/random/*.d)
