fn main(){ let p = hatrace::kernel::probe(); println!("{p:?}"); }
