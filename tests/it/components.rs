//! The leash itself: what is started can be killed, started again, and never survives its owner.

use std::net::TcpStream;

use crate::support::components::Redis;

#[test]
fn a_killed_redis_comes_back_on_its_port_and_goes_with_its_owner() {
    let mut redis = Redis::start();
    let port = redis.port();
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(answers(), "a started server answers");
    redis.kill();
    assert!(!answers(), "a killed one does not");
    redis.start_again();
    assert!(answers(), "it is back");
    drop(redis);
    assert!(!answers(), "it went with its owner");
}
