# The program of random operations (tests/differential/random); `make random SEEDS=10000 [FROM=n]`, `make random SEED=n`.
RANDOM_OBJ := $(patsubst tests/%.c,$(BUILD)/obj/tests/%.o,$(wildcard tests/differential/random/*.c))
RANDOM_HELPER := $(BUILD)/obj/tests/differential/random/helper/helper.o

$(BUILD)/obj/tests/differential/random/%.o: tests/differential/random/%.c
	@mkdir -p $(@D)
	$(CC) $(TESTCFLAGS) -c -o $@ $<
$(TESTPROG)/random: $(RANDOM_OBJ)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -pthread
# The same twice: what a process executes, and what nothing can be preloaded into.
$(TESTPROG)/random-helper: $(RANDOM_HELPER)
	@mkdir -p $(@D)
	$(CC) -o $@ $^
$(TESTPROG)/random-stranger: $(RANDOM_HELPER)
	@mkdir -p $(@D)
	$(CC) -static -o $@ $^
scenario-programs: $(addprefix $(TESTPROG)/,random random-helper random-stranger)

random: all scenario-programs
	BUILD=$(BUILD) tests/random $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000) --from $(or $(FROM),1))
.PHONY: random

-include $(wildcard $(BUILD)/obj/tests/differential/random/*.d $(BUILD)/obj/tests/differential/random/helper/*.d)
