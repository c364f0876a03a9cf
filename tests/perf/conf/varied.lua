-- wrk: no two requests alike, so that nothing can be answered from memory.
local number = 0
local headers = { ["User-Agent"] = "wrk", ["Accept"] = "*/*" }

function request()
   number = number + 1
   headers["X-Bench-Id"] = tostring(number)
   return wrk.format("GET", "/item?n=" .. number, headers)
end
