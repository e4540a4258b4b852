//! The innocents: a busy proxy on which nothing is wrong accuses nobody.
