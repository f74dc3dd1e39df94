/*
 * Request and response (PROTOCOL.md §14): one place, its records as two logs (records.pml has their insides), clients and servers that
 * follow each other, each of which may die between any two steps.
 *
 * Promises: every call of a client that lives ends, with its own answer or as failed; it fails only if the server it was meant for is gone and did not
 * answer it; no request is carried out twice, none of a client that was gone already.
 *
 *   CALLS     calls of each client          SERVERS, CLIENTS   how many follow each other
 *   CRASHES   how many may die, in all
 *
 * BUG_… variants break one rule each and must fail.
 */
#ifndef CALLS
#define CALLS 2
#endif
#ifndef SERVERS
#define SERVERS 2
#endif
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define LOG 8

byte crashes = 0;

/* Requests: log, tail, and the one cursor with its owner (0: nobody or busy). */
byte req_stay[LOG];
byte req_corr[LOG];
byte req_tail = 0;
byte req_cursor = 0;
byte server_stay = 0;
bool server_taken = false;

/* Responses: likewise. The client's stay is the producer owner of the requests. */
byte res_stay[LOG];
byte res_corr[LOG];
byte res_server[LOG];	/* for the promises only */
byte res_tail = 0;
byte res_cursor = 0;
byte client_stay = 0;

byte done[8];		/* carried out: by client and call */
byte servers_left = SERVERS;
byte clients_left = CLIENTS;

#define call_index(stay, corr) ((stay) * CALLS + (corr) - CALLS)
#define may_die crashes < CRASHES

/* Is there an answer of this server to (stay, corr) behind `from`? */
inline answered_in_log(from, server, stay, corr, result)
{
	result = false;
	i = from;
	do
	:: i < res_tail && !result ->
		if
		:: res_server[i] == server && res_stay[i] == stay && res_corr[i] == corr -> result = true
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

proctype server(byte me)
{
	byte stay, corr;

	/* Only one: the server owner word. */
	atomic { !server_taken -> server_taken = true }
#ifdef BUG_OWNER_BEFORE_CURSOR
	server_stay = me;
	if :: atomic { may_die -> crashes++; goto died } :: true fi;
	req_cursor = req_tail;
#else
	req_cursor = req_tail;
	if :: atomic { may_die -> crashes++; goto died } :: true fi;
	server_stay = me;
#endif
	do
	:: req_cursor < req_tail ->
		stay = req_stay[req_cursor];
		corr = req_corr[req_cursor];
		req_cursor++;
		if :: atomic { may_die -> crashes++; goto died } :: true fi;
		if
		:: stay == client_stay ->
			done[call_index(stay, corr)]++;
			assert(done[call_index(stay, corr)] <= 1);
			if :: atomic { may_die -> crashes++; goto died } :: true fi;
			/* Whether the client is still there; it may go before the next step all the same. */
			if
			:: stay == client_stay ->
				if :: atomic { may_die -> crashes++; goto died } :: true fi;
				atomic { res_server[res_tail] = me; res_stay[res_tail] = stay; res_corr[res_tail] = corr; res_tail++ }
			:: else
			fi
		:: else
		fi
	:: clients_left == 0 -> break
	:: req_cursor == req_tail && servers_left > 1 -> break	/* leaves: the next one follows */
	od;
died:
	/* Leaving, or recovery by the kernel's lock: nobody is in the middle of anything that both touch. */
	atomic { server_stay = 0; servers_left--; server_taken = false }
}

proctype client(byte me)
{
	byte corr = 1, asked, now, i = 0;
	bool mine, failed;

	atomic { client_stay == 0 -> client_stay = me }
	res_cursor = res_tail;
	do
	:: corr > CALLS -> break
	:: else ->
		if
		:: server_stay != 0
		:: servers_left == 0 -> break	/* nobody will come */
		fi;
#ifdef BUG_STAY_AFTER_REQUEST
		if :: atomic { may_die -> crashes++; goto died } :: true fi;
		atomic { req_stay[req_tail] = me; req_corr[req_tail] = corr; req_tail++ }
		asked = server_stay;
#else
		asked = server_stay;
		if
		:: asked == 0 -> goto again
		:: else
		fi;
		if :: atomic { may_die -> crashes++; goto died } :: true fi;
		atomic { req_stay[req_tail] = me; req_corr[req_tail] = corr; req_tail++ }
#endif
		mine = false;
		failed = false;
		do
		:: mine || failed -> break
		:: else ->
			if :: atomic { may_die -> crashes++; goto died } :: true fi;
			/* Sleeps until something comes or its server is gone. */
			(res_cursor < res_tail || server_stay != asked);
#ifndef BUG_SERVER_AFTER_ANSWERS
			now = server_stay;
#endif
			do
			:: res_cursor < res_tail ->
#ifdef BUG_ANYBODYS_ANSWER
				if
				:: res_corr[res_cursor] == corr ->
					assert(res_stay[res_cursor] == me);
					mine = true
				:: else
				fi;
#else
				if
				:: res_stay[res_cursor] == me && res_corr[res_cursor] == corr -> mine = true
				:: else
				fi;
#endif
				res_cursor++
			:: else -> break
			od;
#ifdef BUG_SERVER_AFTER_ANSWERS
			now = server_stay;
#endif
			if
			:: mine ->
				assert(done[call_index(me, corr)] == 1)
			:: !mine && now != asked ->
				/* Its server is gone, and what that one answered was there to see. (A next server may have got the request, and answer.) */
				atomic {
					answered_in_log(res_cursor, asked, me, corr, mine);
					assert(!mine);
					failed = true
				}
			:: else
			fi
		od;
		corr++;
again:
		skip
	od;
died:
	atomic { client_stay = 0; clients_left-- }
}

init {
	atomic {
		run server(1);
		if
		:: SERVERS > 1 -> run server(2)
		:: else
		fi;
		run client(1);
		if
		:: CLIENTS > 1 -> run client(2)
		:: else
		fi
	}
}
