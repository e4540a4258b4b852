use std::time::Duration;
fn main(){
 let a: Vec<String> = std::env::args().collect();
 if a[1]=="empty" { let _e = hatrace::kernel::load_empty().unwrap(); eprintln!("attached"); std::thread::sleep(Duration::from_secs(a[2].parse().unwrap())); return; }
 let o = hatrace::kernel::LoadOptions{min:Duration::from_secs(1),everything:false,comm:"haproxy".into(),slots:65536,ring_bytes:4<<20};
 let mut l = hatrace::kernel::Loaded::load(&o).map_err(|e|e.to_string()).unwrap();
 let pid: u32 = a[2].parse().unwrap(); let port: u16 = a[3].parse().unwrap();
 l.tgids.set(pid,true); l.ports.set(port, 4026531833);
 eprintln!("attached");
 let t=std::time::Instant::now(); let mut n=0u64;
 while t.elapsed().as_secs()<a[4].parse().unwrap() { while l.ring.next().is_some(){n+=1;} std::thread::sleep(Duration::from_millis(50)); }
 let c=l.figures.read(true);
 println!("ring {n} seen {:?} counted {:?} delivered {:?} lost {:?} full {:?} trans {} tw {:?} rbp {:?} rbh {:?} missed {}", c.seen,c.counted,c.delivered,c.lost,c.table_full,c.transitions,c.timewait_begun,c.reset_by_peer,c.reset_by_haproxy,l.missed_runs());
 for s in c.short { if s.count>100 {println!("{} {} {:?}..{:?} {}", s.side,s.state,s.low,s.high,s.count);} }
 let mut open=0; l.table.scan(|_|open+=1); println!("open {open}");
}
