test_survey_SRCS := $(addprefix agentclient/observe/,ledger.c ledger_time.c survey.c format.c) \
                    $(wildcard agentclient/policy/*.c) agentclient/identity/spiffeid.c
test_survey_LIBS := -ljansson -lyaml
