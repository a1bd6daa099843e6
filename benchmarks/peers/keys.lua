-- For wrk: asks for PATH0, PATH1, ... one after the other and over again, and ends with a line of JSON.
--
--	wrk -s keys.lua URL -- PATH COUNT

local requests, at = {}, 0

function init(args)
   for number = 0, tonumber(args[2]) - 1 do
      requests[#requests + 1] = wrk.format("GET", args[1] .. number)
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency, _)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format('{"requests": %d, "seconds": %.6f, "p50_s": %.9f, "failed": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, failed))
end
