// A Go service that gets its values through a gateway of raycache, which is the only other peer of its groupcache.
//
//	go run . -gateway http://127.0.0.1:8080 -group scores Tom Jack
//
// prints the value of each key. The gateway runs with --key-escaping=query, as this groupcache writes a space as "+".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/golang/groupcache"
)

func main() {
	gateway := flag.String("gateway", "http://127.0.0.1:8080", "where `raycache serve` listens")
	name := flag.String("group", "scores", "a group that the gateway serves")
	flag.Parse()

	// This process is no peer in the pool itself, so that every key belongs to the gateway.
	pool := groupcache.NewHTTPPoolOpts("", nil)
	pool.Set(*gateway)
	group := groupcache.NewGroup(*name, 1<<20, groupcache.GetterFunc(
		func(_ context.Context, key string, _ groupcache.Sink) error {
			return errors.New("the gateway has no value") // called where the peer has failed or does not know the key
		}))

	for _, key := range flag.Args() {
		var value string
		if err := group.Get(context.Background(), key, groupcache.StringSink(&value)); err != nil {
			fmt.Println("error:", err)
			continue
		}
		fmt.Println(value)
	}
	fmt.Printf("%d from the gateway, %d failed there\n", group.Stats.PeerLoads.Get(), group.Stats.PeerErrors.Get())
}
