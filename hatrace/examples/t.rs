use hatrace::port::{Source,Depth}; use hatrace_core::*; use std::time::Duration;
fn now()->hatrace_core::time::Mono{ let t=rustix::time::clock_gettime(rustix::time::ClockId::Monotonic); hatrace_core::time::Mono::from_ns(t.tv_sec as u64*1_000_000_000+t.tv_nsec as u64)}
fn main(){
 tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).init();
 let a: Vec<String> = std::env::args().collect();
 let target = hatrace::target::Target::resolve(&a[1..2], true).unwrap_or_else(|e|panic!("{e}"));
 let o = hatrace::kernel::LoadOptions{min:Duration::from_secs(1),everything:a.len()>4,comm:target.comm(),slots:65536,ring_bytes:4<<20};
 let mut s: Box<dyn Source> = if a[3]=="polled" {Box::new(hatrace::polled::Polled::new(target,Duration::from_secs(1)))} else {Box::new(hatrace::kernel::Traced::start(&o,target,Duration::from_secs(1)).map_err(|e|e.to_string()).unwrap())};
 let start=now();
 let mut e = Engine::new(Settings{min:Duration::from_secs(1),max_lives:100000,polled:a[3]=="polled"}, start);
 eprintln!("attached");
 let secs: u64 = a[2].parse().unwrap();
 while now().since(start) < Duration::from_secs(secs) {
  let mut out=vec![]; s.look(now(), Depth::Routine, &mut out).unwrap();
  for (at,i) in out { e.handle(at,i); } 
  for ev in e.events() { let t=format!("{ev:?}"); println!("{}", &t[..t.len().min(400)]); }
  std::thread::sleep(Duration::from_millis(100));
 }
 let mut out=vec![]; let t=std::time::Instant::now(); s.look(now(), Depth::Full, &mut out).unwrap(); eprintln!("full {:?} {} inputs", t.elapsed(), out.len());
 for (at,i) in out { e.handle(at,i); }
 let sn=e.snapshot(now());
 println!("{:?}", sn.totals);
 for d in &sn.dwell { println!("{} {} ended {} open {} between {} p50 {:?} max {:?}", d.side,d.state,d.ended,d.open,d.between_sweeps,d.p50,d.max); }
 for l in sn.lingering.iter().take(12) { println!("{} {} {} {} age {:?} {:?} fd {:?} pid {:?} unread {:?} first {:?} adopted {}", l.cookie,l.side,l.state,l.holder,l.age,l.endpoints.map(|e|format!("{}-{}",e.local,e.peer)),l.fd,l.pid,l.unread,l.first_fin,l.adopted); }
 println!("lingering {}", sn.lingering.len());
 for n in &sn.notices { println!("{n:?}"); }
}
