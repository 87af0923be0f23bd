export { default } from "kdbush";
