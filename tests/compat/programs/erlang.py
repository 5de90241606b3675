# SPDX-License-Identifier: Apache-2.0
# packages: erlang-base erlang-inets curl
TITLE = "Erlang"
WHAT = "gen_tcp active, once, N and passive, packet modes, file:sendfile, httpd and httpc, two nodes talking over epmd"
TIMEOUT = 240

SERVER = r'''
-module(server).
-export([main/1]).
main([Text, Blob]) ->
    [spawn(fun() -> listen(P, O, F) end) || {P, O, F} <- [
        {7001, [{packet, raw}, {active, false}], fun passive/1}, {7002, [{packet, raw}, {active, true}], fun active/1},
        {7003, [{packet, raw}, {active, once}], fun once/1}, {7004, [{packet, 4}, {active, false}], fun packets/1},
        {7005, [{packet, line}, {active, 5}], fun lines/1}, {7006, [{active, false}], fun(S) -> {ok, _} = file:sendfile(Blob, S), gen_tcp:close(S) end}]],
    inets:start(),
    {ok, _} = inets:start(httpd, [{port, 7007}, {bind_address, {127,0,0,1}}, {server_name, "x"}, {server_root, "."}, {document_root, filename:dirname(Blob)}]),
    register(echo, spawn(fun() -> node_echo(Text) end)),
    receive stop -> ok end.
listen(P, O, F) -> {ok, L} = gen_tcp:listen(P, [binary, {reuseaddr, true}, {ip, {127,0,0,1}}, {backlog, 100} | O]), accept(L, F).
accept(L, F) ->
    {ok, S} = gen_tcp:accept(L),
    Pid = spawn(fun() -> receive go -> F(S) end end),
    ok = gen_tcp:controlling_process(S, Pid), Pid ! go, accept(L, F).
passive(S) -> case gen_tcp:recv(S, 0) of {ok, D} -> gen_tcp:send(S, D), passive(S); _ -> gen_tcp:close(S) end.
active(S) -> receive {tcp, S, D} -> gen_tcp:send(S, D), active(S); {tcp_closed, S} -> ok end.
once(S) -> receive {tcp, S, D} -> gen_tcp:send(S, D), inet:setopts(S, [{active, once}]), once(S); {tcp_closed, S} -> ok end.
packets(S) -> case gen_tcp:recv(S, 0) of {ok, D} -> gen_tcp:send(S, [<<"got ">>, D]), packets(S); _ -> gen_tcp:close(S) end.
lines(S) -> receive {tcp, S, D} -> gen_tcp:send(S, string:uppercase(D)), lines(S); {tcp_passive, S} -> inet:setopts(S, [{active, 5}]), lines(S); {tcp_closed, S} -> ok end.
node_echo(Text) -> receive {From, X} -> From ! {answer, Text, X}, node_echo(Text) end.
'''

CLIENT = r'''
-module(client).
-export([main/1]).
digest(B) -> io_lib:format("~p ~.16b", [byte_size(B), erlang:crc32(B)]).
to(P, O) -> {ok, S} = gen_tcp:connect({127,0,0,1}, P, [binary, {active, false} | O], 10000), S.
main([Text, Blob]) ->
    {ok, Data} = file:read_file(Blob),
    [begin S = to(P, []), Me = self(), spawn_link(fun() -> ok = gen_tcp:send(S, Data), Me ! sent end),
        {ok, Back} = gen_tcp:recv(S, byte_size(Data), 20000), receive sent -> ok end, true = Back =:= Data,
        io:format("~p ~s~n", [P, digest(Back)]), gen_tcp:close(S) end || P <- [7001, 7002, 7003]],
    S4 = to(7004, [{packet, 4}]),
    [begin ok = gen_tcp:send(S4, binary:copy(list_to_binary(Text), N)), {ok, R} = gen_tcp:recv(S4, 0, 10000), io:format("~s~n", [digest(R)]) end || N <- [0, 1, 1000, 30000]],
    S5 = to(7005, [{packet, line}]),
    [begin ok = gen_tcp:send(S5, [Text, " line ", integer_to_list(N), "\n"]), {ok, R} = gen_tcp:recv(S5, 0, 10000), N rem 10 =:= 0 andalso io:format("~s", [R]) end || N <- lists:seq(1, 30)],
    S6 = to(7006, []), io:format("sendfile ~s~n", [digest(all(S6, []))]),
    Me = self(), Ps = [spawn_link(fun() -> S = to(7002, []), [begin ok = gen_tcp:send(S, Text), {ok, _} = gen_tcp:recv(S, length(Text), 10000) end || _ <- lists:seq(1, 20)], gen_tcp:close(S), Me ! {done, self()} end) || _ <- lists:seq(1, 50)],
    [receive {done, P} -> ok end || P <- Ps], io:format("fifty~n"),
    inets:start(),
    {ok, {{_, Code, _}, _, Body}} = httpc:request(get, {"http://127.0.0.1:7007/blob", []}, [], [{body_format, binary}]), io:format("~p ~s~n", [Code, digest(Body)]),
    io:format("~p~n", [gen_tcp:connect({127,0,0,1}, 7999, [], 5000)]),
    {error, timeout} = gen_tcp:recv(S5, 0, 50), ok = gen_tcp:shutdown(S5, write), io:format("~p~n", [gen_tcp:recv(S5, 0, 5000)]),
    Server = 'server@127.0.0.1',
    true = net_kernel:connect_node(Server),
    [begin {echo, Server} ! {self(), X}, receive {answer, T, Y} -> io:format("~s ~p~n", [T, erlang:phash2(Y)]) after 10000 -> io:format("no answer~n") end end || X <- [1, {a, "b"}, Data]],
    io:format("~p~n", [rpc:call(Server, lists, sum, [[1, 2, 3]])]),
    true = rpc:cast(Server, erlang, halt, [0]), timer:sleep(200).
all(S, Acc) -> case gen_tcp:recv(S, 0, 20000) of {ok, D} -> all(S, [Acc, D]); {error, closed} -> iolist_to_binary(Acc) end.
'''


def run(c):
    import random
    c.write("blob", random.Random(12).randbytes(1 << 20) + c.marker * 50)
    c.write(".erlang.cookie", "cookie", 0o400)
    for name, text in (("server", SERVER), ("client", CLIENT)):
        c.prepare(["erlc", "-o", c.dir, c.write(f"{name}.erl", text)])
    c.server(["epmd"], 4369)

    def erl(name):
        return ["erl", "-noinput", "-name", f"{name}@127.0.0.1", "-pa", c.dir, "-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-eval",
                f'{name}:main(["{c.text}", "{c.dir}/blob"]), halt(0).']

    server = c.server(erl("server"), *range(7001, 7008))
    c.client(["epmd", "-names"], show=False)
    c.client(erl("client"), err=True)
    c.say("the server:", server.wait(20))
