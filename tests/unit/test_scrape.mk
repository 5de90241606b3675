test_scrape_SRCS := agentclient/daemon/scrape.c agentclient/daemon/scrape_bind.c
test_scrape_LIBS := -levent_extra -levent_core
