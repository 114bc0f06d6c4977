// SPDX-License-Identifier: MIT

// Go: goroutines and channels, on one thread of the scheduler or on two.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	contenders = 8
	batch      = 64
	poolSize   = 2
	poolBurst  = 1000
	poolTrips  = 100
)

func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		panic("getrusage")
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func wallSeconds() float64 {
	return float64(time.Now().UnixNano()) / 1e9
}

// Nanoseconds per operation by a clock.
func measure(clock func() float64, count int, what func()) float64 {
	begin := clock()
	what()
	return (clock() - begin) * 1e9 / float64(count)
}

// Two goroutines that give an item to and fro.
func pingPong(count int) {
	a, b := make(chan *int), make(chan *int)
	done := make(chan bool)
	item := new(int)
	go func() {
		for i := 0; i < count/2; i++ {
			b <- <-a
		}
		done <- true
	}()
	for i := 0; i < count/2; i++ {
		a <- item
		<-b
	}
	<-done
}

func fifo(count int) {
	c := make(chan *int, batch)
	item := new(int)
	for i := 0; i < count/batch; i++ {
		for k := 0; k < batch; k++ {
			c <- item
		}
		for k := 0; k < batch; k++ {
			<-c
		}
	}
}

func mutex(count int) {
	var lock sync.Mutex
	for i := 0; i < count; i++ {
		lock.Lock()
		//lint:ignore SA2001 the pair is what is measured
		lock.Unlock()
	}
}

func contended(count int) {
	var lock sync.Mutex
	var all sync.WaitGroup
	all.Add(contenders)
	for i := 0; i < contenders; i++ {
		go func() {
			for k := 0; k < count/contenders; k++ {
				lock.Lock()
				runtime.Gosched()
				lock.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
}

func cond(count int) {
	var lock sync.Mutex
	changed := [2]*sync.Cond{sync.NewCond(&lock), sync.NewCond(&lock)}
	var all sync.WaitGroup
	turn := 0
	all.Add(2)
	for me := 0; me < 2; me++ {
		go func(me int) {
			lock.Lock()
			for i := 0; i < count/2; i++ {
				for turn != me {
					changed[me].Wait()
				}
				turn = 1 - me
				changed[turn].Signal()
			}
			lock.Unlock()
			all.Done()
		}(me)
	}
	all.Wait()
}

func sem(count int) {
	s := make(chan struct{}, 1)
	for i := 0; i < count; i++ {
		s <- struct{}{}
		<-s
	}
}

func waitGroup(count int) {
	var group sync.WaitGroup
	for i := 0; i < count/contenders; i++ {
		group.Add(contenders)
		for k := 0; k < contenders; k++ {
			go group.Done()
		}
		group.Wait()
	}
}

// Waits for one of several channels, of which another goroutine fills one in turn.
func selectFrom(n int, wait func(q []chan *int)) func(count int) {
	return func(count int) {
		q := make([]chan *int, n)
		for i := range q {
			q[i] = make(chan *int, 1)
		}
		back := make(chan *int, 1)
		item := new(int)
		go func() {
			for i := 0; i < count; i++ {
				q[i%n] <- item
				<-back
			}
		}()
		for i := 0; i < count; i++ {
			wait(q)
			back <- item
		}
	}
}

func select2(q []chan *int) {
	select {
	case <-q[0]:
	case <-q[1]:
	}
}

func select20(q []chan *int) {
	select {
	case <-q[0]:
	case <-q[1]:
	case <-q[2]:
	case <-q[3]:
	case <-q[4]:
	case <-q[5]:
	case <-q[6]:
	case <-q[7]:
	case <-q[8]:
	case <-q[9]:
	case <-q[10]:
	case <-q[11]:
	case <-q[12]:
	case <-q[13]:
	case <-q[14]:
	case <-q[15]:
	case <-q[16]:
	case <-q[17]:
	case <-q[18]:
	case <-q[19]:
	}
}

// A pool as it is written in Go: goroutines that read a channel.
func pool() chan func() {
	jobs := make(chan func(), poolBurst)
	for i := 0; i < poolSize; i++ {
		go func() {
			for job := range jobs {
				job()
			}
		}()
	}
	return jobs
}

func burst(jobs chan func()) {
	var all sync.WaitGroup
	all.Add(poolBurst)
	for i := 0; i < poolBurst; i++ {
		jobs <- func() { all.Done() }
	}
	all.Wait()
}

func trips(jobs chan func()) {
	for i := 0; i < poolTrips; i++ {
		done := make(chan struct{})
		jobs <- func() { close(done) }
		<-done
	}
}

// The median over short stretches, as for the other pools.
func stretches(count int, each int, stretch func(jobs chan func())) float64 {
	jobs := pool()
	burst(jobs)
	took := make([]float64, count/each)
	for i := range took {
		took[i] = measure(wallSeconds, each, func() { stretch(jobs) })
	}
	sort.Float64s(took)
	return took[len(took)/2]
}

func run(name string, count int) (float64, bool) {
	onOne := map[string]func(int){
		"queue": pingPong, "fifo": fifo, "mutex": mutex, "mutex-8": contended, "cond": cond,
		"sem": sem, "waitgroup": waitGroup,
		"select-2": selectFrom(2, select2), "select-20": selectFrom(20, select20),
	}
	onTwo := map[string]func(int){"queue-2w": pingPong, "mutex-8-2w": contended}
	if fn := onOne[name]; fn != nil {
		runtime.GOMAXPROCS(1)
		return measure(cpuSeconds, count, func() { fn(count) }), true
	}
	runtime.GOMAXPROCS(2)
	if fn := onTwo[name]; fn != nil {
		return measure(wallSeconds, count, func() { fn(count) }), true
	}
	if strings.HasPrefix(name, "pool-trip") {
		return stretches(count, poolTrips, trips), true
	}
	if strings.HasPrefix(name, "pool-") {
		return stretches(count, poolBurst, burst), true
	}
	return 0, false
}

func main() {
	if len(os.Args) == 3 {
		count, err := strconv.Atoi(os.Args[2])
		if value, known := run(os.Args[1], count); known && err == nil {
			fmt.Printf("{\"case\": %q, \"count\": %d, \"ok\": true, \"value\": %.4f, "+
				"\"seconds\": 0, \"bytes\": 0}\n", os.Args[1], count, value)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: sync_go CASE COUNT")
	os.Exit(2)
}
