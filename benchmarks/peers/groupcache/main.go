// A node of groupcache: it answers its peer over HTTP, and does what its standard input says.
//
// One line is one command, answered by one line of JSON:
//
//	load FIRST COUNT   get those of the keys that this node owns, so that its cache has them
//	get FIRST COUNT    get those that the peer owns, one by one: {"keys": how many, "seconds": of one Get,
//	                   "from_peer": how many came from the peer}
//
// The node ends when its standard input does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/golang/groupcache"
)

const cacheBytes = 256 << 20

type answer struct {
	Keys     int     `json:"keys"`
	Seconds  float64 `json:"seconds"`
	FromPeer int64   `json:"from_peer"`
}

// value is the text of 100 characters that the other contenders have under the key.
func value(_ context.Context, key string, dest groupcache.Sink) error {
	number, err := strconv.Atoi(strings.TrimPrefix(key, "s-"))
	if err != nil {
		return fmt.Errorf("the key %q is not of the form s-NUMBER", key)
	}
	return dest.SetString(strings.Repeat(fmt.Sprintf("%020d", number), 5))
}

func main() {
	self := flag.String("self", "", "host:port of this node")
	peers := flag.String("peers", "", "host:port of all nodes, with commas between")
	flag.Parse()
	pool := groupcache.NewHTTPPoolOpts("http://"+*self, nil)
	var urls []string
	for _, peer := range strings.Split(*peers, ",") {
		urls = append(urls, "http://"+peer)
	}
	pool.Set(urls...)
	group := groupcache.NewGroup("bench", cacheBytes, groupcache.GetterFunc(value))
	go func() { log.Fatal(http.ListenAndServe(*self, pool)) }()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := obey(lines.Text(), pool, group); err != nil {
			log.Fatal(err)
		}
	}
}

// obey does what a line says, and prints the answer.
func obey(line string, pool *groupcache.HTTPPool, group *groupcache.Group) error {
	var command string
	var first, count int
	if _, err := fmt.Sscanf(line, "%s %d %d", &command, &first, &count); err != nil {
		return fmt.Errorf("the line %q is not COMMAND FIRST COUNT: %v", line, err)
	}
	var keys []string
	for number := first; number < first+count; number++ {
		key := fmt.Sprintf("s-%d", number)
		if _, elsewhere := pool.PickPeer(key); elsewhere == (command == "get") {
			keys = append(keys, key)
		}
	}
	before := group.Stats.PeerLoads.Get()
	began := time.Now()
	for _, key := range keys {
		var text string
		if err := group.Get(context.Background(), key, groupcache.StringSink(&text)); err != nil {
			return err
		}
	}
	seconds := time.Since(began).Seconds()
	if len(keys) > 0 {
		seconds /= float64(len(keys))
	}
	return json.NewEncoder(os.Stdout).Encode(answer{len(keys), seconds, group.Stats.PeerLoads.Get() - before})
}
