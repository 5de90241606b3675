# SPDX-License-Identifier: Apache-2.0
# packages: tcl lua5.4 lua-socket gawk zsh bash
TITLE = "Tcl, Lua, awk, shells"
WHAT = "Tcl's fileevents and fcopy, LuaSocket's servers and HTTP, gawk's /inet, bash's /dev/tcp, zsh's ztcp as server and client"

TCL = r'''
set text [lindex $argv 0]; set blob [lindex $argv 1]
proc accept {s host port} { fconfigure $s -blocking 0 -buffering line -translation lf; fileevent $s readable [list line $s] }
proc line {s} { if {[gets $s l] >= 0} { puts $s [string toupper $l] } elseif {[eof $s]} { close $s } }
proc give {s host port} { global blob; fconfigure $s -translation binary; set f [open $blob rb]; fcopy $f $s -command [list done $f $s] }
proc done {f s args} { close $f; close $s }
socket -server accept -myaddr 127.0.0.1 7001
socket -server give -myaddr 127.0.0.1 7002
vwait forever
'''
TCL_CLIENT = r'''
set text [lindex $argv 0]
set s [socket 127.0.0.1 7001]; fconfigure $s -buffering line -translation lf
for {set i 0} {$i < 30} {incr i} { puts $s "$text $i"; if {[gets $s] ne "[string toupper $text] $i"} { puts wrong } }
close $s
set s [socket -async 127.0.0.1 7002]; fconfigure $s -translation binary -blocking 0
set got ""; fileevent $s readable { append got [read $s]; if {[eof $s]} { set end 1 } }; vwait end; puts "[string length $got] [zlib crc32 $got]"; close $s
puts [catch {socket 127.0.0.1 7999} e]; puts $e
set s [socket 127.0.0.1 7001]; puts $s half; close $s write; puts [read $s]; close $s
'''
LUA = r'''
local socket = require "socket"
local l, slow = assert(socket.bind("127.0.0.1", 7003)), assert(socket.bind("127.0.0.1", 7004))
local set = {l, slow}
while true do
  for _, s in ipairs(socket.select(set)) do
    if s == l then local c = l:accept(); c:settimeout(10); set[#set + 1] = c
    elseif s == slow then local c = slow:accept()
      repeat local h = c:receive("*l") until not h or h == ""; local body = arg[1]:rep(5000)
      c:send("HTTP/1.0 200 OK\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body); c:close()
    else local line = s:receive("*l"); if line then s:send(line:reverse() .. "\n") else s:close(); for i, x in ipairs(set) do if x == s then table.remove(set, i) end end end end
  end
end
'''
LUA_CLIENT = r'''
local socket, http = require "socket", require "socket.http"
local c = assert(socket.connect("127.0.0.1", 7003))
for i = 1, 30 do c:send(arg[1] .. i .. "\n"); assert(c:receive("*l") == (arg[1] .. i):reverse()) end
print(c:getpeername()); c:settimeout(0.1); print(c:receive(1)); c:shutdown("send"); c:settimeout(10); print(c:receive(1)); c:close()
local body, code = http.request("http://127.0.0.1:7004/"); print(code, #body, body:sub(1, 29))
print(socket.connect("127.0.0.1", 7999))
'''
AWK = r'''
BEGIN { s = "/inet/tcp/7005/0/0"; while (n++ < 3) { while ((s |& getline line) > 0) { if (line == "end") break; print "awk: " line |& s } close(s) } }
'''
AWK_CLIENT = r'''
BEGIN { s = "/inet/tcp/0/127.0.0.1/7001"; for (i = 0; i < 20; i++) { print text, i |& s; s |& getline; if (i % 5 == 0) print } close(s, "to"); while ((s |& getline) > 0) print; close(s) }
'''
BASH = r'''
exec 3<>/dev/tcp/127.0.0.1/7001
for i in 1 2 3; do echo "$1 bash $i" >&3; read -r line <&3; echo "$line"; done
printf '%s\n' "$1" "by printf" >&3; read -r -t 10 a <&3; read -r -t 10 b <&3; echo "$a $b"
read -r -t 0.1 none <&3; echo "timed out: $(( $? > 128 ))"
exec 3>&-
(exec 4<>/dev/tcp/127.0.0.1/7999) 2>/dev/null; echo "refused: $?"
exec 3<>/dev/tcp/127.0.0.1/7002; wc -c <&3 
'''
ZSH = r'''
zmodload zsh/net/tcp; ztcp -l 7006 || exit 1; l=$REPLY
for n in 1 2 3; do ztcp -a $l; s=$REPLY; while read -r -u $s line; do print -u $s "zsh: $line"; [[ $line == end ]] && break; done; ztcp -c $s; done
'''
ZSH_CLIENT = r'''
zmodload zsh/net/tcp zsh/zselect
ztcp 127.0.0.1 7001 || exit 1; s=$REPLY
for i in 1 2 3; do print -u $s "$1 zsh $i"; zselect -t 1000 -r $s; read -r -u $s line; print -r -- $line; done
ztcp -c $s; ztcp 127.0.0.1 7999 2>/dev/null; print "refused: $?"
'''


def run(c):
    import random
    c.write("blob", random.Random(13).randbytes(1 << 20) + c.marker * 50)
    files = {"tcl": TCL, "c.tcl": TCL_CLIENT, "lua": LUA, "c.lua": LUA_CLIENT, "awk": AWK, "c.awk": AWK_CLIENT, "c.bash": BASH, "zsh": ZSH, "c.zsh": ZSH_CLIENT}
    f = {name: c.write("x." + name, text) for name, text in files.items()}
    tcl = c.server(["tclsh", f["tcl"], c.text, f"{c.dir}/blob"], 7001, 7002)
    lua = c.server(["lua5.4", f["lua"], c.text], 7003, 7004)
    awk = c.server(["gawk", "-f", f["awk"]], 7005)
    zsh = c.server(["zsh", "-f", f["zsh"]], 7006)
    c.client(["tclsh", f["c.tcl"], c.text], err=True)
    c.client(["lua5.4", f["c.lua"], c.text], err=True)
    c.client(["gawk", "-v", f"text={c.text}", "-f", f["c.awk"]], err=True)
    c.client(["bash", f["c.bash"], c.text], err=True)
    c.client(["zsh", "-f", f["c.zsh"], c.text], err=True)
    for i in range(3):
        for port in (7005, 7006):
            c.listening(port)
            c.client(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; for i in 1 2; do echo \"$1 $i\" >&3; read -r x <&3; echo \"$x\"; done; echo end >&3; read -r x <&3; "
                      "echo \"$x\"", "x", c.text], err=True)
    c.say("ended:", awk.wait(60), zsh.wait(60))
    c.stop(tcl)
    c.stop(lua)
