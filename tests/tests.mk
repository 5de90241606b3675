# Programs that the integration tests run: C, linked with libc alone unless said otherwise.
TESTPROG := $(BUILD)/tests
SCENARIO_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out tests/differential/random/%,$(wildcard tests/differential/*/*.c)) tests/differential/scenario.c)
# A test program is never sanitized: under the shim the sanitizer's runtime would have to come first.
TESTCFLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g $(WARN) -Itests/differential -MMD -MP

$(BUILD)/obj/tests/differential/%.o: tests/differential/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(TESTCFLAGS) -c -o $@ $<
$(BUILD)/obj/tests/programs/%.o: tests/programs/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(TESTCFLAGS) -c -o $@ $<

$(TESTPROG)/scenario: $(SCENARIO_OBJ)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -pthread
$(TESTPROG)/wirewatch: $(BUILD)/obj/tests/programs/wirewatch.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^
$(TESTPROG)/uring: $(BUILD)/obj/tests/programs/uring.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -luring
$(TESTPROG)/uring-static: $(BUILD)/obj/tests/programs/uring.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -Wl,-Bstatic -luring -Wl,-Bdynamic
$(TESTPROG)/static: $(BUILD)/obj/tests/programs/tiny.o
	@mkdir -p $(@D)
	$(CC) -static -o $@ $^
$(TESTPROG)/oldstyle: tests/programs/oldstyle.c
	@mkdir -p $(@D)
	$(CC) -std=gnu89 -O1 -g -o $@ $<
$(TESTPROG)/tiny: $(BUILD)/obj/tests/programs/tiny.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^

$(TESTPROG)/environs: $(BUILD)/obj/tests/programs/environs.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^

$(TESTPROG)/driver: $(BUILD)/obj/tests/programs/driver.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^

$(TESTPROG)/scarce: $(BUILD)/obj/tests/programs/scarce.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^

$(TESTPROG)/libdeep.so: tests/programs/deep.c
	@mkdir -p $(@D)
	$(CC) $(TESTCFLAGS) -DLIBRARY -fPIC -shared -o $@ $<
$(TESTPROG)/deep: $(BUILD)/obj/tests/programs/deep.o $(TESTPROG)/libdeep.so
	@mkdir -p $(@D)
	$(CC) -o $@ $< -Wl,-rpath,'$$ORIGIN'

$(TESTPROG)/copier: $(BUILD)/obj/tests/programs/copier.o
	@mkdir -p $(@D)
	$(CC) -static -o $@ $^
$(TESTPROG)/libvisitor.so: tests/programs/visitor.c
	@mkdir -p $(@D)
	$(CC) $(TESTCFLAGS) -fPIC -shared -o $@ $< -pthread
$(TESTPROG)/visited: tests/programs/visited.c $(TESTPROG)/libvisitor.so
	@mkdir -p $(@D)
	$(CC) $(TESTCFLAGS) -o $@ $< -L$(TESTPROG) -lvisitor -Wl,-rpath,'$$ORIGIN'

scenario-programs: $(addprefix $(TESTPROG)/,scenario wirewatch uring uring-static environs driver scarce static tiny deep oldstyle copier libvisitor.so visited)
test-programs: scenario-programs
integration: all test-programs
	BUILD=$(BUILD) tests/run $(RUNFLAGS)
.PHONY: scenario-programs test-programs integration

-include tests/peers/peers.mk tests/differential/random/random.mk

-include $(wildcard $(BUILD)/obj/tests/programs/*.d $(BUILD)/obj/tests/differential/*.d $(BUILD)/obj/tests/differential/*/*.d)
